"""The servers and processes of one machine: what `manage.py up` and the tests start and stop."""
