"""The API's routes, a file per resource."""
