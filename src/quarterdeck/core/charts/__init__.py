"""Finds the image tags of a service in its helmfile values and moves them, changing those bytes and nothing else.

Pure functions over file texts; nothing is executed, neither helm nor a template. `snapshot` is what the bot asks, and `snapshots` keeps
the last few;
`reading` finds which scalar decides which tag; `editing` chooses, changes and proves; `keys` says which keys hold an
image tag, by the habits in `conventions`. `vote_limit` is the second opinion before the bot's vote: it shares no code
with reading and editing but `keys`.
"""
