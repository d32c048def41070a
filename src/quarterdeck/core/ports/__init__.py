"""What the core asks of the world, one protocol a file. Each promise is a contract test that adapter and fake both pass."""
