"""What commands that ask a server many things share.

post        one request, and what a server that is busy says
pace        how fast
lines       files of JSON lines that outlive whoever writes them
progress    how it goes, while it goes
shown       questions for people
bootstrap   means over prompts, with their intervals
"""
