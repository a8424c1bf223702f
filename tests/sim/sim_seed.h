/*
 * The seed of the run that goes on is the last line of a program that failed, however it ended: by an assertion of a test, abort(),
 * a signal or a sanitizer's report. The line is what repeats the run: `WEIR_SEED=17`. One thread.
 */
#ifndef TESTS_SIM_SIM_SEED_H
#define TESTS_SIM_SIM_SEED_H
#include <stdint.h>

void seed_watch(const uint64_t *current); /* from now on; *current changes with each run */
void seed_begins(void);                   /* a run; one that takes minutes is ended by SIGALRM */
void seed_failed(uint64_t seed);          /* a test failed in this run, and the program goes on */
/*
 * The program's end, with the number of tests that failed: 0 is returned, with others it ends here, without a search for
 * leaks: what a failed test left behind says nothing.
 */
int seed_tell(int n_failed);
#endif
