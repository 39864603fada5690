/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The thread table against a plain array, over random operations. */
#include <string.h>

#include "trace/thread-table.h"
#include "../tap.h"

enum { TIDS = 700 };

struct record {
	uint32_t tid, value;
	char rest[40];
};

static uint32_t model[TIDS]; /* value by tid, 0 = absent */
static struct record *address[TIDS];
static uint32_t last_seen;
static bool ordered, complete;
static unsigned visited;

static uint32_t random_next(void)
{
	static uint64_t state = 42;

	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(state >> 33);
}

static void visit(void *data, uint32_t tid, void *record)
{
	struct record *r = record;

	ordered &= !visited || tid > last_seen;
	complete &= tid < TIDS && model[tid] == r->value && r->tid == tid && address[tid] == r;
	last_seen = tid;
	visited++;
	if (data && tid % 3 == 0) {
		thread_table_remove(data, tid);
		model[tid] = 0;
	}
}

int main(void)
{
	_cleanup_(thread_table_freep) struct thread_table *table = thread_table_new(sizeof(struct record));
	bool good = true, zeroed = true;
	size_t n = 0;

	for (int i = 0; i < 400000; i++) {
		uint32_t tid = random_next() % TIDS, to = random_next() % TIDS;
		struct record *r;
		bool is_new;

		switch (random_next() % 8) {
		case 0:
			thread_table_remove(table, tid);
			n -= model[tid] != 0;
			model[tid] = 0;
			break;
		case 1:
			good &= thread_table_rename(table, tid, to) == (model[tid] != 0);
			if (model[tid] && tid != to) {
				n -= model[to] != 0;
				model[to] = model[tid];
				address[to] = address[tid];
				address[to]->tid = to;
				model[tid] = 0;
			}
			break;
		case 2:
			r = thread_table_find(table, tid);
			good &= r ? r->value == model[tid] && r->tid == tid : !model[tid];
			break;
		default:
			r = thread_table_get(table, tid, &is_new);
			if (is_new) {
				zeroed &= !r->tid && !r->value && !r->rest[39] && !model[tid];
				n++;
				memset(r, 0xff, sizeof(*r));
				r->tid = tid;
				r->value = model[tid] = random_next() | 1;
				address[tid] = r;
			}
			good &= r->value == model[tid] && r == address[tid];
		}
		good &= thread_table_count(table) == n;
	}
	ok(good, "find, get, remove and rename agree with a plain array, records stay where they are");
	ok(zeroed, "new records are zero, also reused ones");

	ordered = complete = true;
	thread_table_each(table, visit, NULL);
	ok(ordered && complete && visited == n, "each visits all of them in order of thread id");
	visited = 0;
	thread_table_each(table, visit, table);
	ok(ordered && complete && visited == n && thread_table_count(table) < n, "and allows removal meanwhile");
	visited = 0;
	thread_table_each(table, visit, NULL);
	ok(ordered && complete && visited == thread_table_count(table), "what was removed is gone, the rest is there");

	for (uint32_t i = 0; i < 300000; i++)
		good &= thread_table_get(table, i * 0x10000U + i, NULL) != NULL;
	for (uint32_t i = 0; i < 300000; i++)
		good &= thread_table_find(table, i * 0x10000U + i) != NULL;
	ok(good, "hundreds of thousands of threads");
	return tap_done();
}
