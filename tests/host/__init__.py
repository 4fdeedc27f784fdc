"""Tests of check_sshd_local."""
