"""The voted endpoints' forms: everything in which one endpoint differs from another on the wire."""
