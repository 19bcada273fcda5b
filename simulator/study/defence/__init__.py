"""What a noise defence costs and buys where abusive tenants attack a classifier in closed loop."""
