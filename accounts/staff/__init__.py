"""The admin site and the base classes of every admin page. Registers no model."""
