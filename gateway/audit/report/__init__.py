"""Shows how an audit goes and what it found: terminal, JSON, JUnit, and one page of HTML."""
