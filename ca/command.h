/*
 * The commands of weir-ca that look at the state or change it, also while `serve` has it open; and
 * what all commands have in common. Each returns the program's exit code: 0, 1 (it failed, and said
 * why), 2 (a bad option).
 */
#ifndef CA_COMMAND_H
#define CA_COMMAND_H
#include "ca/change.h"
#include "ca/root.h"

int command_token(int argc, char **argv);
int command_list(int argc, char **argv);
int command_revoke(int argc, char **argv);
int command_backup(int argc, char **argv);
int command_restore(int argc, char **argv);
int command_check(int argc, char **argv);
int command_init(int argc, char **argv);
int command_rotate(int argc, char **argv);
int command_passphrase(int argc, char **argv);
int command_crl(int argc, char **argv);

int command_usage_error(const char *option, const char *why); /* 2 */
/* Both tell why they can't. A folder that holds no state is a mistyped one: certificates and tokens
 * of a CA that was made in passing are nobody's. Only `init` and `serve` make one. */
int command_open_state(const char *folder, struct store **ret);
int command_open_root(struct store *store, struct root *ret);
/* Whoever runs the program, now. */
struct change_by command_by(char asker[static 32]);
#endif
