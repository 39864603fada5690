/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a fuzzer without libFuzzer: every file of its corpus, then so many random changes of each, always the same ones.
 *   fuzz-NAME ROUNDS FOLDER     in tests
 *   fuzz-NAME FILE...           one input, for debugging
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (1 << 20)

static uint64_t seed = 1;

static uint32_t next_random(uint32_t below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return below ? (uint32_t)(seed >> 33) % below : 0;
}

static size_t read_file(const char *path, uint8_t *data)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f) {
		perror(path);
		exit(1);
	}
	n = fread(data, 1, INPUT_MAX, f);
	fclose(f);
	return n;
}

/* From an exact copy, so that a sanitizer sees a byte read too far. */
static void run(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	if (!copy)
		exit(1);
	memcpy(copy, data, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static size_t change(uint8_t *data, size_t n)
{
	static const uint8_t special[] = { 0, 1, 0x7f, 0x80, 0xff, '\n', ' ', '-', '9', '"' };

	for (uint32_t times = 1 + next_random(4); times; times--) {
		size_t at = next_random((uint32_t)n), length = next_random(16);

		switch (next_random(7)) {
		case 0:
			n = at;
			break;
		case 1:
			if (n)
				data[at] ^= (uint8_t)(1 << next_random(8));
			break;
		case 2:
			if (n)
				data[at] = special[next_random(sizeof(special))];
			break;
		case 3: /* a number of four bytes */
			for (size_t i = at; i < n && i < at + 4; i++)
				data[i] = (uint8_t)next_random(256);
			break;
		case 4: /* a piece goes */
			length = length < n - at ? length : n - at;
			memmove(data + at, data + at + length, n - at - length);
			n -= length;
			break;
		case 5: /* a piece comes twice */
			length = length < n - at ? length : n - at;
			if (n + length <= INPUT_MAX) {
				memmove(data + at + length, data + at, n - at);
				n += length;
			}
			break;
		default: /* a piece comes from elsewhere */
			for (size_t i = at, from = next_random((uint32_t)n); i < n && from < n && length; length--)
				data[i++] = data[from++];
		}
	}
	return n;
}

int main(int argc, char **argv)
{
	static uint8_t data[INPUT_MAX], changed[INPUT_MAX];
	struct dirent **entries;
	unsigned inputs = 0;
	int n;

	if (argc != 3 || !strchr("0123456789", *argv[1])) {
		for (int i = 1; i < argc; i++)
			run(data, read_file(argv[i], data));
		return 0;
	}
	n = scandir(argv[2], &entries, NULL, alphasort);
	if (n < 0) {
		perror(argv[2]);
		return 1;
	}
	for (int i = 0; i < n; i++) {
		char path[4096];
		size_t size;

		snprintf(path, sizeof(path), "%s/%s", argv[2], entries[i]->d_name);
		if (*entries[i]->d_name != '.') {
			size = read_file(path, data);
			run(data, size);
			for (unsigned long k = strtoul(argv[1], NULL, 10); k; k--) {
				memcpy(changed, data, size);
				run(changed, change(changed, size));
			}
			inputs++;
		}
		free(entries[i]);
	}
	free(entries);
	printf("%sok 1 - %u inputs and their changes\n1..1\n", inputs ? "" : "not ", inputs);
	return !inputs;
}
