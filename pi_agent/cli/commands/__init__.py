"""The sandbox commands, `pi --sandbox-…`: a module each, imported only when its command runs. See dispatch.py."""
