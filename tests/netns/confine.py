#!/usr/bin/python3
"""Runs a program as a container runtime would: with a seccomp profile and no capabilities but those that are named.

usage: confine.py [--profile FILE | --forbid CALL=ERRNO] [--capabilities NAME,NAME...] [--user UID:GID] PROGRAM ARGUMENT...
"""
import argparse
import ctypes
import ctypes.util
import errno
import json
import os
import sys

CAPABILITIES = ["chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
                "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
                "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
                "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
                "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
                "checkpoint_restore"]
PR_CAPBSET_READ, PR_CAPBSET_DROP = 23, 24
ALLOW, ERRNO = 0x7fff0000, 0x00050000
libc = ctypes.CDLL(None, use_errno=True)
seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
seccomp.seccomp_init.restype = ctypes.c_void_p


def rule(filter_, action, name):
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    if number != -1:  # this processor has it
        seccomp.seccomp_rule_add(ctypes.c_void_p(filter_), action, number, 0)


def load(filter_):
    assert seccomp.seccomp_load(ctypes.c_void_p(filter_)) == 0, "the seccomp filter can't be loaded"


def load_profile(path):
    with open(path, encoding="utf-8") as file:
        profile = json.load(file)
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO", profile["defaultAction"]
    filter_ = seccomp.seccomp_init(ERRNO | profile.get("defaultErrnoRet", errno.EPERM))
    for entry in profile["syscalls"]:
        assert entry["action"] == "SCMP_ACT_ALLOW" and "args" not in entry, entry
        for name in entry["names"]:
            rule(filter_, ALLOW, name)
    load(filter_)


def load_denial(call, error):
    filter_ = seccomp.seccomp_init(ALLOW)
    rule(filter_, ERRNO | getattr(errno, error), call)
    load(filter_)


def drop_capabilities(kept):
    wanted = {CAPABILITIES.index(name) for name in kept}
    for number in range(64):
        has = libc.prctl(PR_CAPBSET_READ, number, 0, 0, 0)
        if has < 0:
            break
        if has and number not in wanted:
            assert libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0, f"capability {number}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--profile")
    parser.add_argument("--forbid")
    parser.add_argument("--capabilities")
    parser.add_argument("--user")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    a = parser.parse_args()
    if a.capabilities is not None:
        drop_capabilities([name for name in a.capabilities.split(",") if name])
    if a.profile:
        load_profile(a.profile)
    if a.forbid:
        load_denial(*a.forbid.split("="))
    if a.user:
        uid, gid = map(int, a.user.split(":"))
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    os.execv(a.command[0], a.command)


if __name__ == "__main__":
    sys.exit(main())
