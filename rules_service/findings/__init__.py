"""What an evaluation says: findings, what was bypassed, what could not be judged, and the pins that reproduce it."""
