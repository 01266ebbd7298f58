"""The servers and processes of one machine, which `manage.py up` and the tests start and stop."""
