/*
 * All chance of a simulation from one seed: what the program asks the system for (getrandom(2), and /dev/urandom, which the
 * TLS library reads) comes from here too, so that keys, certificates and handshakes, and with them every record's length,
 * are the same in each run of a seed. One thread. Never linked into anything but a simulation.
 */
#ifndef TESTS_SIM_SIM_CHANCE_H
#define TESTS_SIM_SIM_CHANCE_H
#include "shared/base/rng.h"

void sim_chance_seed(uint64_t seed);
struct rng sim_chance_swap(struct rng with); /* returns the one before */
#endif
