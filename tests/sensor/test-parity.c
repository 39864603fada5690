/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Kernel and user space give the same verdicts and states, to the bit: on random events over random images and policies,
 * and on every trace that the test-suite has. "-b" measures a step instead.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "core/score.h"
#include "model/freeze.h"
#include "model/learner.h"
#include "parity-abi.h"
#include "parity.skel.h"
#include "sensor-test.h"
#include "trace/trace.h"
#include "../tap.h"

#define BATCHES 20 /* of PARITY_EVENTS: 1.3 million */

static struct parity_bpf *bpf;
static struct event *events;
static struct verdict *verdicts;
static struct score *states, mine[PARITY_THREADS];
static uint64_t seed = 88172645463325252ULL;

static uint32_t chance(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16) % n;
}

/* A thread's next call: mostly what the last two suggest, so that a model has something to learn. */
static uint16_t next_call(uint32_t tid)
{
	static uint32_t last[PARITY_THREADS], before[PARITY_THREADS];
	uint32_t *l = &last[tid % PARITY_THREADS], *b = &before[tid % PARITY_THREADS];
	uint32_t call = chance(20) ? (*l * 7 + *b * 3 + chance(3)) % 60 : chance(700);

	*b = *l;
	*l = call;
	return (uint16_t)(chance(500) ? call : CALL_INVALID);
}

static void random_events(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct event *event = &events[i];
		uint32_t what = chance(200);

		*event = (struct event){ .tid = 1 + chance(PARITY_THREADS), .kind = EVENT_CALL };
		if (what == 0)
			event->kind = EVENT_GAP;
		else if (what == 1)
			event->kind = EVENT_FORK;
		else if (what == 2)
			event->kind = EVENT_EXEC;
		else if (what == 3)
			event->kind = EVENT_ATTACH;
		else if (what == 4)
			event->kind = EVENT_EXIT;
		if (event->kind != EVENT_CALL)
			continue;
		event->call = next_call(event->tid);
		event->origin = chance(50) ? EVENT_FROM(ORIGIN_FILE, ABI_NATIVE)
					   : EVENT_FROM(chance(ORIGIN_KINDS), chance(ABI_KINDS));
	}
}

static void random_policy(struct policy *policy, const struct image_header *header, uint32_t generation)
{
	static const uint16_t lengths[] = { 1, 2, 10, 32, 33, 100, 1000, MEAN_MAX };

	*policy = (struct policy){ 0 };
	for (unsigned i = 0; i < 1 + chance(MEAN_WINDOWS); i++) {
		policy->window[i].length = lengths[chance(ARRAY_SIZE(lengths))];
		policy->window[i].limit = (uint16_t)chance(COST_MAX + 1);
	}
	policy->min_calls = (uint16_t)chance(40);
	policy->reading = (uint8_t)chance(2);
	policy->foreign = chance(4) != 0;
	policy_arm(policy, header, generation);
	if (chance(3) == 0)
		policy->origins |= (uint16_t)(1U << chance(ORIGIN_KINDS));
}

/* An image learned from the events in the batch. */
static void learn(unsigned length, size_t n, struct image *ret_image)
{
	_cleanup_(learner_freep) struct learner *learner = learner_new(length, NULL, NULL);
	struct counts counts = { 0 };
	struct errmsg err = { 0 };

	if (!learner || learner_add(learner, events, n) < 0 || learner_end_trace(learner) < 0 ||
	    learner_counts(learner, &counts) < 0 || freeze(&counts, arch_native(), ret_image, &err) < 0) {
		errmsg_print(&err, stderr, "test-parity");
		exit(99);
	}
	counts_done(&counts);
}

static void load_image(const struct image *image)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	size_t size = image->header->cells * sizeof(struct cell);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "image", 4, sizeof(struct cell), image->header->cells, &options);
	void *cells = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint32_t zero = 0;

	if (fd < 0 || cells == MAP_FAILED || bpf_map_update_elem(bpf_map__fd(bpf->maps.images), &zero, &fd, BPF_ANY) < 0) {
		perror("test-parity: image");
		exit(99);
	}
	memcpy(cells, image->cells, size);
	munmap(cells, size);
	close(fd);
}

/* Scores the batch on both sides; true if all is equal. */
static bool equal(const struct image *image, const struct policy *policy, size_t n)
{
	LIBBPF_OPTS(bpf_test_run_opts, options);

	bpf->bss->policy = *policy;
	bpf->bss->n_events = (uint32_t)n;
	if (bpf_prog_test_run_opts(bpf_program__fd(bpf->progs.run), &options) < 0 || bpf->bss->done != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct verdict v = score_step(&mine[events[i].tid % PARITY_THREADS], image, policy, &events[i]);

		if (memcmp(&v, &verdicts[i], sizeof(v))) {
			printf("# event %zu: cost %u and %u, flags %x and %x\n", i, v.cost, verdicts[i].cost, v.flags,
			       verdicts[i].flags);
			return false;
		}
	}
	return !memcmp(mine, states, sizeof(mine));
}

static void forget(void)
{
	memset(mine, 0, sizeof(mine));
	memset(states, 0, sizeof(mine));
}

static void test_random(void)
{
	struct image image = { 0 };
	struct policy policy;
	size_t alarms = 0, closed = 0, same = 0;

	for (unsigned batch = 0; batch < BATCHES; batch++) {
		if (batch % 4 == 0) {
			image_free(&image);
			random_events(PARITY_EVENTS);
			learn(LENGTH_MIN + chance(9), PARITY_EVENTS / 2, &image);
			load_image(&image);
			/* States that point into the former image: a new generation makes them start anew. */
		}
		random_events(PARITY_EVENTS);
		random_policy(&policy, image.header, batch / 2);
		if (batch % 4 == 0)
			policy.generation = 1000 + batch;
		same += equal(&image, &policy, PARITY_EVENTS);
		for (size_t i = 0; i < PARITY_EVENTS; i++) {
			alarms += !!(verdicts[i].flags & VERDICT_ALARMS);
			closed += !!(verdicts[i].flags & VERDICT_CLOSED);
		}
	}
	image_free(&image);
	ok(same == BATCHES, "%d random events: the same verdicts and states in all batches", BATCHES * PARITY_EVENTS);
	ok(alarms > 1000 && closed > 1000, "among them %zu alarms and %zu ends of episodes", alarms, closed);
}

static size_t traces, different, calls;

static void test_trace(const char *path)
{
	_cleanup_(trace_reader_closep) struct trace_reader *reader = NULL;
	struct image image = { 0 };
	struct policy policy = { .window = { { 16, COST_MAX / 4 }, { 128, COST_MAX / 6 } }, .min_calls = 8, .foreign = 1 };
	struct errmsg err = { 0 };
	size_t n = 0;
	ssize_t r;

	if (trace_reader_open(path, TRACE_AUTO, &reader, &err) < 0)
		return; /* the suite has damaged ones, too, and files that are none */
	while (n < PARITY_EVENTS && (r = trace_reader_read(reader, events + n, PARITY_EVENTS - n, &err)) > 0)
		n += (size_t)r;
	if (n < 2)
		return;
	traces++;
	calls += n;
	forget();
	learn(LENGTH_DEFAULT, n / 2, &image);
	load_image(&image);
	policy_arm(&policy, image.header, 0);
	if (!equal(&image, &policy, n)) {
		different++;
		printf("# %s differs\n", path);
	}
	image_free(&image);
}

static void test_traces(const char *folder)
{
	_cleanup_closedir_ DIR *dir = opendir(folder);
	char path[4096];
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >= (int)sizeof(path) ||
		    lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			test_traces(path);
		else if (S_ISREG(st.st_mode) && st.st_size)
			test_trace(path);
	}
}

static void measure(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, options);
	struct image image = { 0 };
	struct policy policy = { .window = { { 32, COST_MAX } }, .min_calls = 16, .foreign = 1 };
	double best = 1e9;

	for (size_t i = 0; i < PARITY_EVENTS; i++)
		events[i] = (struct event){ .tid = 1, .call = (uint16_t)(100 + i % 7), .origin = ORIGIN_FILE };
	learn(LENGTH_DEFAULT, 1000, &image);
	load_image(&image);
	policy_arm(&policy, image.header, 0);
	bpf->bss->policy = policy;
	bpf->bss->n_events = PARITY_EVENTS;
	for (int i = 0; i < 200; i++) {
		struct timespec start, end;

		clock_gettime(CLOCK_MONOTONIC, &start);
		if (bpf_prog_test_run_opts(bpf_program__fd(bpf->progs.run), &options) < 0)
			exit(99);
		clock_gettime(CLOCK_MONOTONIC, &end);
		best = MIN(best, ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) /
				 PARITY_EVENTS);
	}
	printf("%.1f ns a step in the kernel, with the loop and look-ups of the test\n", best);
	image_free(&image);
}

static void *map_of(const struct bpf_map *map, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (p == MAP_FAILED) {
		perror("test-parity: mmap");
		exit(99);
	}
	return p;
}

int main(int argc, char **argv)
{
	bool bench = argc > 1 && !strcmp(argv[1], "-b");
	const char *source = getenv("SOURCE");
	char folder[4096];

	need_driver();
	bpf = parity_bpf__open_and_load();
	if (!ok(bpf != NULL, "the verifier accepts the scoring step"))
		return tap_done();
	events = map_of(bpf->maps.events, PARITY_EVENTS * sizeof(*events));
	verdicts = map_of(bpf->maps.verdicts, PARITY_EVENTS * sizeof(*verdicts));
	states = map_of(bpf->maps.states, PARITY_THREADS * sizeof(*states));
	if (bench) {
		measure();
	} else {
		test_random();
		snprintf(folder, sizeof(folder), "%s/tests", source ? source : ".");
		test_traces(folder);
		ok(!different, "%zu traces of the test-suite, %zu events: the same verdicts and states", traces, calls);
	}
	parity_bpf__destroy(bpf);
	return tap_done();
}
