"""The HTTP edge: FastAPI app, strict bodies, RFC 9457 problems, one module a resource."""
