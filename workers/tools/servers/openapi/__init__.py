"""HTTP APIs with an OpenAPI document (3.0, 3.1) as tools: each operation is one."""
