"""The fault run: orders under load while servers, instances and networks fail, drawn by a seed."""
