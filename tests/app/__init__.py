"""An installed app whose durable functions are those that the tests declare."""
