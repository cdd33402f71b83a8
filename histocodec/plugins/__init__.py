"""What other programs have a place for: a module for each host, named as the host.

A host is imported when its class or function is first asked for, so that none of them need be installed.
"""
