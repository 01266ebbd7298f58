"""The admin's sidebar, and the staff handbook as a page of the admin."""
