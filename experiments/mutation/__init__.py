"""Small wrong changes to the code, one at a time: which ones do the tests notice?"""
