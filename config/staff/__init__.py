"""The admin's navigation and the staff handbook."""
