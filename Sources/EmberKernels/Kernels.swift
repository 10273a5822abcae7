import CKernels
import Foundation

/// The kernels of one instruction set: a table of functions, chosen once per process.
///
/// ```swift
/// let kernels = Kernels.best
/// print(kernels.name)  // avx512vnni
/// ```
///
/// Every table gives the same bits, so the choice is one of speed alone; the environment variable
/// `EMBER_KERNELS` forces one, for tests and bug reports.
public struct Kernels: @unchecked Sendable {
  // Sendable because the table holds nothing but pointers to functions without state.

  /// The instruction set's name, as `EMBER_KERNELS` takes it.
  public let name: String
  package let table: ember_kernels

  /// The scalar reference: what every other table must equal, bit for bit.
  public static let scalar = Kernels(name: "scalar", table: scalarTable)

  /// Swift's portable vector types: right everywhere, faster than scalar code.
  public static let portable = Kernels(name: "portable", table: portableTable)

  /// Every table that this machine can run, the fastest last.
  public static let available: [Kernels] = {
    var kernels = [scalar, portable]
    #if arch(x86_64)
      if ember_supports_avx2() != 0 {
        kernels.append(Kernels(name: "avx2", table: ember_kernels_avx2))
      }
      if ember_supports_avxvnni() != 0 {
        kernels.append(Kernels(name: "avxvnni", table: ember_kernels_avxvnni))
      }
      if ember_supports_avx512vnni() != 0 {
        kernels.append(Kernels(name: "avx512vnni", table: ember_kernels_avx512vnni))
      }
    #elseif arch(arm64)
      kernels.append(Kernels(name: "neon", table: ember_kernels_neon))
      if ember_supports_neon_dotprod() != 0 {
        kernels.append(Kernels(name: "neon-dotprod", table: ember_kernels_neon_dotprod))
      }
      if ember_supports_neon_i8mm() != 0 {
        kernels.append(Kernels(name: "neon-i8mm", table: ember_kernels_neon_i8mm))
      }
    #endif
    return kernels
  }()

  /// What the environment variable `EMBER_KERNELS` asks for, read once; nil where it is not set or
  /// empty.
  public static let requestedName: String? = {
    let name = ProcessInfo.processInfo.environment["EMBER_KERNELS"]
    return name == "" ? nil : name
  }()

  /// The table that everything uses unless told otherwise: the one that `EMBER_KERNELS` names, else
  /// the fastest that this machine can run.
  ///
  /// A name that no table has changes nothing here; the command `ember` refuses to start with one.
  public static let best: Kernels = requestedName.flatMap(named) ?? available.last ?? scalar

  /// The table with this name, or nil where it is unknown or this machine cannot run it.
  public static func named(_ name: String) -> Kernels? {
    available.first { $0.name == name }
  }
}
