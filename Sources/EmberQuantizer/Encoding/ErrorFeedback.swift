// STUB, replaced by the merge
protocol LaneRounder { mutating func round(_ weights: SIMD16<Float>, column: Int) -> SIMD16<Float> }
final class ErrorFeedback: Sendable {
  init(moments: SecondMoments, threads: Int) throws {}
  func round<R: LaneRounder>(_ weights: UnsafeMutablePointer<Float>, by rounder: inout R) {}
}
