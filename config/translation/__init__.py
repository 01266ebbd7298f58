"""The catalogues of translated texts: what is extracted into them, how they are checked and compiled.

Contributors need it (`manage.py translations`), running processes do not: what it makes is part of the repository.
"""
