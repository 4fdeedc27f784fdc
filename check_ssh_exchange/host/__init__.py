"""The face and the findings of check_sshd_local: what a server's own side says about connections turned away."""
