"""The commands that Pi does not have: `pi --sandbox-…`.

A room per command; each is imported only when its command is called, since a launch must not wait for them. `table`
says what there is, `parsing` reads the arguments, alike in the wrapper and in the runner: who calls the runner by
sudo himself gets no further than who types `pi`.
"""
