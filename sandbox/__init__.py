"""The real servers around the bot, on one machine: Gerrit, chat, a deploy host, a registry and a cluster."""
