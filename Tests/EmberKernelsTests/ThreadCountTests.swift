#if os(Linux)
  import EmberKernels
  import Testing

  @Suite("How many threads are worth starting")
  struct ThreadCountTests {
    private func group(_ files: [String: String]) -> ControlGroup {
      ControlGroup { files[$0] }
    }

    @Test("a quota is rounded up, and never less than one thread")
    func rounding() {
      for (quota, expected) in [(nil, 4), (0.1, 1), (0.5, 1), (1, 1), (1.5, 2), (3.2, 4), (9, 4)]
        as [(Double?, Int)]
      {
        #expect(ThreadCount.recommended(cores: 4, quota: quota) == expected)
      }
      #expect(ThreadCount.recommended(cores: 0, quota: nil) == 1)
    }

    @Test("hardware threads of a core count once, and only those in the affinity mask")
    func cores() {
      let siblings = ["0,2\n", "1,3\n", "0,2\n", "1,3\n"]
      func count(_ mask: Set<Int>) -> Int {
        ThreadCount.physicalCores(mayRunOn: mask.contains) { path in
          siblings.indices.first { path.contains("/cpu\($0)/") }.map { siblings[$0] }
        }
      }
      #expect(count([0, 1, 2, 3]) == 2)
      #expect(count([0, 2]) == 1)
      #expect(count([0, 3]) == 2)
      #expect(count([]) == 0)
      // Without a topology every processor counts.
      #expect(ThreadCount.physicalCores(mayRunOn: { $0 < 3 }, contents: { _ in nil }) == 3)
    }

    @Test("version 2: the least quota up the tree")
    func nested() {
      let group = group([
        "/proc/self/cgroup": "0::/a/b:c/d\n",
        "/sys/fs/cgroup/a/cpu.max": "150000 100000\n",
        "/sys/fs/cgroup/a/b:c/cpu.max": "max 100000\n",
        "/sys/fs/cgroup/a/b:c/d/cpu.max": "300000 100000\n",
      ])
      #expect(group.processorQuota == 1.5)
      #expect(group.availableMemory == nil)
    }

    @Test("version 2 inside a container, whose own group is the root that it sees")
    func container() {
      for path in ["/", "/docker/0123", "/../../other"] {
        let group = group([
          "/proc/self/cgroup": "0::\(path)\n", "/sys/fs/cgroup/cpu.max": "50000 100000",
          "/sys/fs/cgroup/memory.max": "1000\n", "/sys/fs/cgroup/memory.current": "900\n",
          "/sys/fs/cgroup/memory.stat": "anon 500\nfile 300\n",
        ])
        #expect(group.processorQuota == 0.5)
        #expect(group.availableMemory == 400)
      }
    }

    @Test("version 1, also beside version 2")
    func firstVersion() {
      let group = group([
        "/proc/self/cgroup": "4:memory:/m/n\n3:cpu,cpuacct:/x/y\n0::/\n",
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "250000\n",
        "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes": "5000\n",
        "/sys/fs/cgroup/memory/m/memory.limit_in_bytes": "2000\n",
        "/sys/fs/cgroup/memory/m/memory.usage_in_bytes": "1500\n",
        "/sys/fs/cgroup/memory/m/memory.stat": "cache 7\ntotal_cache 100\n",
      ])
      #expect(group.processorQuota == 2.5)
      #expect(group.availableMemory == 600)
    }

    @Test("no limit of memory is none, however much of it is cache", arguments: [0, 900, Int.max])
    func unlimitedMemory(used: Int) {
      // The counts are not taken at one moment: the cache may exceed what is in use.
      let files = [
        "/proc/self/cgroup": "4:memory:/\n",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes": "\(used)\n",
        "/sys/fs/cgroup/memory/memory.stat": "total_cache \(Int.max)\n",
      ]
      for limit in ["9223372036854771712", "9223372036854775807", "-1", "1e30"] {
        let group = group(
          files.merging(["/sys/fs/cgroup/memory/memory.limit_in_bytes": limit]) { $1 })
        #expect(group.availableMemory == nil)
      }
      let limited = group(
        files.merging(["/sys/fs/cgroup/memory/memory.limit_in_bytes": "5000"]) { $1 })
      #expect((limited.availableMemory ?? -1) >= 0)
    }

    @Test(
      "what cannot be understood is no limit",
      arguments: ["", "max", "max 100000", "100000", "a b", "0 0", "-1 100000", "1 2 3", "nan 1"])
    func odd(_ quota: String) {
      let group = group(["/proc/self/cgroup": "0::/\nx\n:::", "/sys/fs/cgroup/cpu.max": quota])
      #expect(group.processorQuota == nil)
      #expect(ControlGroup { _ in nil }.processorQuota == nil)
    }
  }
#endif
