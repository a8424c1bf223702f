/*
 * Why something was not done, in words for people, beside the -errno for the program: a text of at
 * most WHY_MAX bytes with its NUL, in memory of the caller's. What is longer is cut.
 */
#ifndef SHARED_BASE_WHY_H
#define SHARED_BASE_WHY_H

enum { WHY_MAX = 256 };

/* Both return error, so that a refusal is one statement. */
int why_say(int error, char why[static WHY_MAX], const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, and ": " with what the system says of -error. */
int why_errno(int error, char why[static WHY_MAX], const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#endif
