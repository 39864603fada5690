/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Groups of similar things by k-means on sets: an item is a set of bits, its distance to a group the squared Euclidean
 * one to the group's mean (Lloyd 1982), the first centres are the items farthest from each other (Gonzalez 1985),
 * beginning with item 0. Integers only, and ties go to the lower number: the same groups on every machine.
 */
#ifndef IMSAFE_MODEL_CLUSTER_H
#define IMSAFE_MODEL_CLUSTER_H

#include <stddef.h>
#include <stdint.h>

#define SET_BITS 1024

struct set {
	uint64_t words[SET_BITS / 64];
};

static inline void set_add(struct set *set, unsigned bit)
{
	set->words[bit / 64 % (SET_BITS / 64)] |= 1ULL << bit % 64;
}

/*
 * At most k groups, numbered from 0 in the order of their first items; fewer if there are fewer different items.
 * Returns how many, or -ENOMEM; group[i] says where item i belongs.
 */
int cluster(const struct set *items, size_t n, unsigned k, uint32_t *group);

#endif
