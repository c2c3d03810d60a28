"""What an author declares: functions, triggers, flow control, middleware."""
