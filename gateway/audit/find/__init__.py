"""What the answers of an audit mean. Nothing here waits, reads or writes; what is drawn is drawn the same each time."""
