/*
 * A connection's story is a table of stages; a stage is one function that says how it goes on. The runner walks
 * the table: it is the only loop. After WAIT the story continues exactly once, through the same runner.
 */
#ifndef NODEPROXY_PATH_STAGE_H
#define NODEPROXY_PATH_STAGE_H

enum step { STEP_NEXT, STEP_WAIT, STEP_END };
#endif
