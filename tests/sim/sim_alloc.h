/*
 * Lets one allocation of a simulated node proxy fail: those that happen while its ring takes a turn are counted, those of the
 * simulation itself (applications, the network's memory) are not and always succeed. One thread.
 */
#ifndef TESTS_SIM_SIM_ALLOC_H
#define TESTS_SIM_SIM_ALLOC_H
#include <stdbool.h>
#include <stdint.h>

void sim_alloc_fail_at(uint64_t n); /* the n-th from now on, and only that; 0: none */
bool sim_alloc_failed(void);        /* since then */
void sim_alloc_enter(void);         /* a node's turn begins */
void sim_alloc_leave(void);         /* the simulation's own code runs */
#endif
