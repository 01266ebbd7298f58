"""The admin site itself and the base classes of every admin. It registers no model."""
