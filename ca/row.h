/* A row of the store as people and programs see it: times as text, names without their unit. Pure. */
#ifndef CA_ROW_H
#define CA_ROW_H
#include "ca/store.h"
#include "shared/base/clock.h"
#include "shared/json/json_out.h"

struct text row_name(const struct store_row *row, size_t i);
const char *row_value(const struct store_row *row, size_t i, char time[CLOCK_TEXT_MAX]);
void row_put_json(struct json_out *o, const struct store_row *row); /* an object */
#endif
