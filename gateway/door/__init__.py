"""HTTP/1.1 for those who come in (RFC 9110, RFC 9112). It knows nothing of votes."""
