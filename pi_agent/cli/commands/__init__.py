"""The commands of the sandbox, `pi --sandbox-…`: one module each, imported only when its command is called."""
