"""What a handler holds: context, step tools, parallel groups, stored results."""
