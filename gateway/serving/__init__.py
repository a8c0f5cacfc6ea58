"""The client's side: what a request asks for, how it is answered, in which bytes."""
