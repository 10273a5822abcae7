// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "Ember",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Ember", targets: ["Ember"]),
    .executable(name: "ember", targets: ["EmberCLI"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
  ],
  targets: [
    // Each floor imports only the floors listed here; see docs/architecture.md.
    .target(name: "CKernels"),
    .systemLibrary(
      name: "CZstd", pkgConfig: "libzstd",
      providers: [.apt(["libzstd-dev"]), .brew(["zstd"])]),
    .target(name: "EmberKernels", dependencies: ["CKernels"]),
    .target(
      name: "EmberFormat",
      dependencies: ["CZstd", .product(name: "SystemPackage", package: "swift-system")]),
    .target(
      name: "EmberTokenizer",
      dependencies: [.product(name: "SystemPackage", package: "swift-system")]),
    .target(
      name: "EmberModel",
      dependencies: [
        "CKernels", "EmberKernels", "EmberFormat",
        .product(name: "SystemPackage", package: "swift-system"),
      ]),
    .target(
      name: "EmberQuantizer",
      dependencies: [
        "CKernels", "EmberKernels", "EmberFormat", "EmberTokenizer", "EmberModel",
        .product(name: "SystemPackage", package: "swift-system"),
      ]),
    .target(
      name: "EmberGeneration", dependencies: ["EmberKernels", "EmberModel", "EmberTokenizer"]),
    .target(
      name: "EmberEvaluation",
      dependencies: [
        "EmberKernels", "EmberFormat", "EmberTokenizer", "EmberModel", "EmberGeneration",
      ]),
    .target(
      name: "Ember",
      dependencies: [
        "EmberFormat", "EmberTokenizer", "EmberModel", "EmberQuantizer", "EmberGeneration",
        "EmberEvaluation", .product(name: "SystemPackage", package: "swift-system"),
      ]),
    .executableTarget(
      name: "EmberCLI",
      dependencies: [
        "Ember", .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "SystemPackage", package: "swift-system"),
      ]),

    .target(name: "EmberTestSupport", path: "Tests/EmberTestSupport"),
    .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
    .testTarget(
      name: "EmberKernelsTests", dependencies: ["CKernels", "EmberKernels", "EmberTestSupport"]),
    .testTarget(
      name: "EmberFormatTests", dependencies: ["EmberFormat", "EmberTestSupport"],
      exclude: ["attacks"]),
    .testTarget(
      name: "EmberTokenizerTests",
      dependencies: ["EmberTokenizer", "EmberEvaluation", "EmberTestSupport"],
      exclude: ["fixtures"]),
    .testTarget(
      name: "EmberQuantizerTests",
      dependencies: [
        "EmberQuantizer", "EmberTestSupport",
        .product(name: "SystemPackage", package: "swift-system"),
      ]),
    .testTarget(
      name: "EmberTests", dependencies: ["AllocationCounter", "Ember", "EmberTestSupport"]),
    .testTarget(
      name: "EmberCLITests", dependencies: ["Ember", "EmberTestSupport"],
      exclude: ["snapshots"]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11
)
