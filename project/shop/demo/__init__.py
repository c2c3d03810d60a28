"""The shop's functions, driven to their ends: what ``manage.py shop_demo`` shows."""
