// The ops by family: attention.cc has those of attentionOps, and so on.
#pragma once
#include "op.h"

std::vector<Registration> approxGradOps();
std::vector<Registration> attentionOps();
std::vector<Registration> columnOps();
std::vector<Registration> crossEntropyOps();
std::vector<Registration> elementwiseOps();
std::vector<Registration> halfOps();
std::vector<Registration> loraGradOps();
std::vector<Registration> normOps();
std::vector<Registration> packOps();
std::vector<Registration> productOps();
std::vector<Registration> randomOps();
std::vector<Registration> rowOps();
