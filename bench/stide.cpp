// SPDX-License-Identifier: LGPL-2.1-or-later
// Straightforward stide in C++, for bench/stide: a std::set of sequences. Usage: stide DIR [K]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

using Trace = std::vector<int>;

static std::vector<Trace> read(const std::string &folder)
{
	std::vector<std::filesystem::path> paths;
	std::vector<Trace> traces;

	for (const auto &entry : std::filesystem::recursive_directory_iterator(folder))
		if (entry.is_regular_file())
			paths.push_back(entry.path());
	std::sort(paths.begin(), paths.end());
	for (const auto &path : paths) {
		std::ifstream file(path);
		Trace trace;

		for (int call; file >> call;)
			trace.push_back(call);
		traces.push_back(trace);
	}
	return traces;
}

static size_t calls(const std::vector<Trace> &traces)
{
	size_t n = 0;

	for (const auto &trace : traces)
		n += trace.size();
	return n;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	std::string folder = argv[1];
	size_t k = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 6;
	auto training = read(folder + "/training"), tested = read(folder + "/normal"), attacks = read(folder + "/attack");
	tested.insert(tested.end(), attacks.begin(), attacks.end());

	auto start = std::chrono::steady_clock::now();
	std::set<std::vector<int>> known;
	for (const auto &trace : training)
		for (size_t i = 0; i + k <= trace.size(); i++)
			known.insert(std::vector<int>(trace.begin() + i, trace.begin() + i + k));
	auto learned = std::chrono::steady_clock::now();
	size_t mismatches = 0;
	for (const auto &trace : tested)
		for (size_t i = 0; i + k <= trace.size(); i++)
			mismatches += !known.count(std::vector<int>(trace.begin() + i, trace.begin() + i + k));
	auto scored = std::chrono::steady_clock::now();
	std::printf("%zu %g %zu %g %zu\n", calls(training), std::chrono::duration<double>(learned - start).count(),
		    calls(tested), std::chrono::duration<double>(scored - learned).count(), mismatches);
}
