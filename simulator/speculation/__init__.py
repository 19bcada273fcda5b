"""Speculation: closed forms of MoESD, acceptance, draft length."""
