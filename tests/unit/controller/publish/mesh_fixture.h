/* A mesh of objects and what a controller makes of them, for tests of what is written into statuses. */
#ifndef TESTS_UNIT_CONTROLLER_PUBLISH_MESH_FIXTURE_H
#define TESTS_UNIT_CONTROLLER_PUBLISH_MESH_FIXTURE_H
#include "tests/unit/controller/fixture.h"

static struct object_store store;
static struct view view;

static inline int mesh_up(const char *yaml)
{
    object_store_init(&store);
    fixture_load(&store, yaml);
    return view_open(&view, &store, &fixture_settings);
}

static inline int mesh_down(void **state)
{
    (void)state;
    view_close(&view);
    object_store_done(&store);
    return 0;
}
#endif
