/*
 * Rows of text in aligned columns, as kubectl and istioctl print them. Cells are copied; bounded by memory; one thread.
 */
#ifndef CONTROLLER_CTL_TABLE_H
#define CONTROLLER_CTL_TABLE_H
#include "shared/base/text.h"

enum { TABLE_COLUMNS_MAX = 10 };
struct table {
    size_t n_columns, n_rows, rows_size;
    char **cells; /* n_rows * n_columns */
    bool failed;
};
void table_init(struct table *t, const char *const *titles, size_t n_columns);
void table_cell(struct table *t, size_t column, struct text value); /* column 0 begins a row */
void table_print(const struct table *t, struct text_heap *out);
/* A list of objects, by titles in lower case. */
void table_json(const struct table *t, struct text_heap *out);
void table_sort(struct table *t); /* rows by their cells, left to right; titles stay */
void table_done(struct table *t);
#endif
